//! Client software that others wrote, unchanged and from the registries, against three nodes behind nginx.
//!
//! Each file is one client: the promise is that its own application, set up as its documentation says, signs
//! in, is told the attributes, and hears of the logout.

mod django_cas_ng;
mod http_cas_client;
pub(crate) mod mod_auth_cas;
pub(crate) mod phpcas;
mod python_cas;

/// A definition: applications of this machine may proxy, to a callback on `localhost`.
pub(crate) const PROXIES: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 78,
    "name": "Proxies", "serviceId": "^http://127\\.0\\.0\\.1:\\d+/.*", "evaluationOrder": 0,
    "attributeReleasePolicy": {
      "@class": "org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy",
      "allowedAttributes": ["java.util.ArrayList", ["mail", "memberOf"]]},
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost:\\d+/pgt.*$"}}"#;
