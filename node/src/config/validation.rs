//! `[validation]`: what answers to validations look like.

use super::schema::section;

section! {
    /// What answers to validations look like.
    pub struct Validation("validation") {
        /// Whether attributes in JSON (`format=JSON`) are lists also when they have one value, as
        /// Apereo CAS 6 and 7 answer. `false`: one value as such and several as a list, as the
        /// specification's example has it. XML is the same either way.
        json_lists: bool = "true", Reload;
    }
}
