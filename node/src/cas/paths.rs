//! Paths of the endpoints, below the prefix. Who answers them is said by the table of routes.

/// Signing in.
pub const LOGIN: &str = "/login";
/// Signing out.
pub const LOGOUT: &str = "/logout";
/// CAS 1 validation.
pub const VALIDATE: &str = "/validate";
/// CAS 2 validation.
pub const SERVICE_VALIDATE: &str = "/serviceValidate";
/// CAS 3 validation.
pub const P3_SERVICE_VALIDATE: &str = "/p3/serviceValidate";
/// CAS 2 validation, of proxy tickets too.
pub const PROXY_VALIDATE: &str = "/proxyValidate";
/// CAS 3 validation, of proxy tickets too.
pub const P3_PROXY_VALIDATE: &str = "/p3/proxyValidate";
/// Proxy tickets.
pub const PROXY: &str = "/proxy";
/// SAML 1.1 validation.
pub const SAML_VALIDATE: &str = "/samlValidate";
/// Sessions for programs.
pub const REST_TICKETS: &str = "/v1/tickets";
/// One session of a program.
pub const REST_TICKET: &str = "/v1/tickets/{id}";
/// Who somebody is, for programs.
pub const REST_USERS: &str = "/v1/users";
/// Style sheets and pictures.
pub const ASSETS: &str = "/assets/{name}";
