//! One file per endpoint.

mod assets;
mod login;
mod login_form;
mod logout;
mod proxy;
mod rest;
mod saml_validate;
mod throttle;
mod validate;
mod warn;
