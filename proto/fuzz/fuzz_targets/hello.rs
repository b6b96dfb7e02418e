//! libFuzzer on the target `hello`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_proto_fuzz::targets::hello(bytes));
