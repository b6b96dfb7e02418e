//! libFuzzer on the target `language`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::language(bytes));
