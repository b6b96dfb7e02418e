//! What the system tests are made of: a cluster, a person with a browser, a pair of eyes.

pub(crate) mod answer;
pub(crate) mod capture;
pub(crate) mod demo;
pub(crate) mod listener;
pub(crate) mod person;
pub(crate) mod program;
pub(crate) mod relay;
pub(crate) mod visitor;
pub(crate) mod wait;
pub(crate) mod webdriver;
