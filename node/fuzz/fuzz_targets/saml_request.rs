//! libFuzzer on the target `saml_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| castor_node_fuzz::targets::saml_request(bytes));
