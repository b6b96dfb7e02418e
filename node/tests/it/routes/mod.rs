//! One file per endpoint.

mod assets;
mod login;
mod login_form;
mod logout;
mod validate;
