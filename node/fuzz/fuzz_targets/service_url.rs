//! libFuzzer on the target `service_url`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::service_url(bytes));
