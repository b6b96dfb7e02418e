//! libFuzzer on the target `ticket_id`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_proto_fuzz::targets::ticket_id(bytes));
