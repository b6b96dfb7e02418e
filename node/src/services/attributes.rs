//! Attributes of a person: names with values, in order. Names are compared whatever the case, as
//! Apereo CAS does, and there is one of each.

/// Names with their values.
pub type Attributes = Vec<(String, Vec<String>)>;

/// The values of an attribute.
pub fn get<'a>(attributes: &'a [(String, Vec<String>)], name: &str) -> Option<&'a [String]> {
    attributes
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, values)| values.as_slice())
}

/// Sets an attribute; one that is there keeps its place.
pub fn set(attributes: &mut Attributes, name: String, values: Vec<String>) {
    let place = attributes
        .iter_mut()
        .find(|(other, _)| other.eq_ignore_ascii_case(&name));
    match place {
        Some(place) => *place = (name, values),
        None => attributes.push((name, values)),
    }
}
