//! libFuzzer on the target `config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::config(bytes));
