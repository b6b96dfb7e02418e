//! libFuzzer on the target `users`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::users(bytes));
