//! `[saml]`: what SAML answers say about this server.

use super::schema::section;

section! {
    /// What SAML answers say about this server.
    pub struct Saml("saml") {
        /// `Issuer` of SAML 1.1 assertions, at `/samlValidate`.
        issuer: String = "localhost", Reload;
        /// `AttributeNamespace` of every attribute in SAML 1.1 assertions.
        attribute_namespace: String = "http://www.ja-sig.org/products/cas/", Reload;
    }
}
