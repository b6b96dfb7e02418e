//! libFuzzer on the target `messages`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_proto_fuzz::targets::messages(bytes));
