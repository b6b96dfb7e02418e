//! libFuzzer on the target `pattern`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::pattern(bytes));
