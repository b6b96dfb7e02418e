//! What applications learn, by the policies of their definitions.

use super::*;
use crate::services::testing::{good, person, read};

const URL: &str = "https://app.edu/x";

fn policy(body: &str) -> String {
    let (class, rest) = body.split_once('"').unwrap();
    format!("{{\"@class\": \"P{class}AttributeReleasePolicy\"{rest}}}")
}

fn released(service: &RegisteredService) -> Vec<(String, String)> {
    let released = service.release(&person(), URL).unwrap();
    let joined = |(name, values): (String, Vec<String>)| (name, values.join("|"));
    released.attributes.into_iter().map(joined).collect()
}

fn check(policy: &str, expected: &[(&str, &str)]) {
    let service = good(&format!("\"attributeReleasePolicy\": {policy}"));
    let found = released(&service);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(found, expected, "{policy}");
}

const MAIL: (&str, &str) = ("mail", "M.Lee@example.edu");
const ROLE: (&str, &str) = ("role", "staff|R&D");
const GROUPS: (&str, &str) = ("memberOf", "cn=lab,ou=physics,o=x|plain");

#[test]
fn single_policies() {
    for (body, expected) in [
        ("DenyAll\"", &[][..]),
        ("ReturnAll\"", &[MAIL, ROLE, GROUPS]),
        (
            "ReturnAll\", \"excludedAttributes\": [\"MAIL\", \"memberOf\"]",
            &[ROLE],
        ),
        (
            "ReturnAllowed\", \"allowedAttributes\": [\"java.util.ArrayList\", [\"Role\", \
             \"user\", \"none\", \"empty\"]]",
            &[("Role", "staff|R&D")],
        ),
        (
            "ReturnMapped\", \"allowedAttributes\": {\"@class\": \"java.util.TreeMap\", \
             \"mail\": \"email\", \"role\": [\"java.util.ArrayList\", [\"a\", \"b\"]], \
             \"none\": \"n\", \"missing\": \"memberOf\", \"mail2\": \"user\"}",
            &[
                ("email", "M.Lee@example.edu"),
                ("a", "staff|R&D"),
                ("b", "staff|R&D"),
                GROUPS,
            ],
        ),
        (
            "ReturnMultiMapped\", \"allowedAttributes\": {\"role\": [\"a\", \"b\"]}",
            &[("a", "staff|R&D"), ("b", "staff|R&D")],
        ),
        (
            "ReturnLinked\", \"allowedAttributes\": {\"n\": [\"none\", \"empty\", \"mail\", \
             \"role\"], \"m\": [\"none\"]}",
            &[("n", "M.Lee@example.edu")],
        ),
        (
            "ReturnStatic\", \"allowedAttributes\": {\"e\": [\"java.util.ArrayList\", [\"x\", 1]]}",
            &[("e", "x|1")],
        ),
        (
            "PatternMatching\", \"allowedAttributes\": {\"@class\": \"java.util.TreeMap\", \
             \"memberOf\": {\"@class\": \"PPatternMatchingAttributeReleasePolicy$Rule\", \
             \"pattern\": \"^cn=(\\\\w+),ou=(\\\\w+)\", \"transform\": \"${2}/${1}\"}}",
            &[("memberOf", "physics/lab")],
        ),
        (
            "ReturnAllowed\", \"principalIdAttribute\": \"uid\", \"allowedAttributes\": [\"mail\"]",
            &[MAIL, ("uid", "mLee7")],
        ),
        (
            "ReturnAllowed\", \"principalIdAttribute\": \"mail\", \"allowedAttributes\": [\"mail\"]",
            &[MAIL],
        ),
    ] {
        check(&policy(body), expected);
    }
    assert!(released(&good("\"tags\": []")).is_empty());
}

#[test]
fn chains_merge_in_order() {
    let first = policy(
        "ReturnStatic\", \"order\": 1, \"allowedAttributes\": {\"role\": [\"STAFF\", \"x\"], \"n\": [\"1\"]}",
    );
    let second =
        policy("ReturnMapped\", \"order\": 0, \"allowedAttributes\": {\"role\": \"role\"}");
    // Sees what the static policy before it released.
    let third = policy("ReturnMapped\", \"order\": 2, \"allowedAttributes\": {\"n\": \"m\"}");
    for (merging, role) in [
        ("REPLACE", "STAFF|x"),
        ("add", "staff|R&D"),
        ("MULTIVALUED", "staff|R&D|x"),
    ] {
        let chain = policy(&format!(
            "Chaining\", \"mergingPolicy\": \"{merging}\", \
             \"policies\": [\"java.util.ArrayList\", [{first}, {second}, {third}]]"
        ));
        check(&chain, &[("role", role), ("n", "1"), ("m", "1")]);
    }
    let source = policy(&format!(
        "Chaining\", \"mergingPolicy\": \"SOURCE\", \"policies\": [{first}]"
    ));
    let (none, report) = read(&format!("\"attributeReleasePolicy\": {source}"));
    assert!(none.is_none(), "{report:?}");
}

#[test]
fn filters_of_values() {
    let filter = |body: &str| {
        let (class, rest) = body.split_once('"').unwrap();
        format!("{{\"@class\": \"Psupport.RegisteredService{class}AttributeFilter\"{rest}}}")
    };
    let regex = filter("Regex\", \"pattern\": \"[a-z.@]+\"");
    let mapped = filter("MappedRegex\", \"patterns\": {\"role\": \"^r\"}");
    for (filter, expected) in [
        (
            regex.clone(),
            &[MAIL, ("role", "staff"), ("memberOf", "plain")][..],
        ),
        (mapped.clone(), &[MAIL, ("role", "R&D"), GROUPS]),
        (
            filter(
                "MappedRegex\", \"patterns\": {\"role\": \"^r\"}, \"caseInsensitive\": false, \
                 \"excludeUnmappedAttributes\": true",
            ),
            &[],
        ),
        (
            filter(
                "MappedRegex\", \"patterns\": {\"role\": \"sta\"}, \"completeMatch\": true, \
                 \"excludeUnmappedAttributes\": true",
            ),
            &[],
        ),
        (
            filter(
                "ReverseMappedRegex\", \"patterns\": {\"role\": \"^r\"}, \
                 \"excludeUnmappedAttributes\": true",
            ),
            &[("role", "staff")],
        ),
        (
            filter(
                "MutantRegex\", \"excludeUnmappedAttributes\": true, \"patterns\": {\"memberOf\": \
                 [\"java.util.ArrayList\", [\"^cn=(.),ou -> $1\", \"^cn=(\\\\w+) -> $1/$1\", \"plain\"]]}",
            ),
            &[("memberOf", "lab/lab|plain")],
        ),
        (
            filter(&format!(
                "Chaining\", \"filters\": [\"java.util.ArrayList\", [{regex}, {mapped}]]"
            )),
            &[MAIL, ("role", "R&D"), GROUPS],
        ),
    ] {
        check(
            &policy(&format!("ReturnAll\", \"attributeFilter\": {filter}")),
            expected,
        );
    }
}

#[test]
fn facts_about_the_sign_in() {
    let facts = |body: &str| {
        let service = good(&format!("\"attributeReleasePolicy\": {}", policy(body)));
        service.release(&person(), URL).unwrap().authentication
    };
    assert!(facts("ReturnAll\""));
    assert!(!facts(
        "ReturnAll\", \"authorizedToReleaseAuthenticationAttributes\": false"
    ));
    assert!(!facts("DenyAll\""));
    let silent = policy("ReturnAll\", \"authorizedToReleaseAuthenticationAttributes\": false");
    assert!(!facts(&format!(
        "Chaining\", \"policies\": [{silent}, {}]",
        policy("ReturnAll\"")
    )));
}

fn name(provider: &str) -> Option<String> {
    let (class, rest) = provider.split_once('"').unwrap();
    let service = good(&format!(
        "\"attributeReleasePolicy\": {}, \"usernameAttributeProvider\": \
         {{\"@class\": \"P{class}\"{rest}}}",
        policy("ReturnMapped\", \"allowedAttributes\": {\"role\": \"position\"}")
    ));
    Some(service.release(&person(), URL)?.user)
}

#[test]
fn user_names() {
    for (provider, expected) in [
        ("Default\"", Some("mLee7")),
        (
            "Default\", \"canonicalizationMode\": \"UPPER\"",
            Some("MLEE7"),
        ),
        (
            "Default\", \"canonicalizationMode\": \"LOWER\", \"scope\": \"Example.EDU\"",
            Some("mlee7@example.edu"),
        ),
        ("Default\", \"removePattern\": \"[0-9]\"", Some("mLee")),
        ("Default\", \"removePattern\": \".*\"", None),
        (
            "PrincipalAttribute\", \"usernameAttribute\": \"MAIL\"",
            Some("M.Lee@example.edu"),
        ),
        (
            "PrincipalAttribute\", \"usernameAttribute\": \"position\"",
            Some("staff"),
        ),
        (
            "PrincipalAttribute\", \"usernameAttribute\": \"none\"",
            Some("mLee7"),
        ),
        ("Static\", \"value\": \"guest\"", Some("guest")),
    ] {
        let (kind, rest) = provider.split_once('"').unwrap();
        let class = format!("{kind}RegisteredServiceUsernameProvider\"{rest}");
        assert_eq!(name(&class).as_deref(), expected, "{provider}");
    }
}

/// The first pair of salt and pseudonym is the one that Apereo CAS's own tests have.
#[test]
fn pseudonyms_are_those_of_shibboleth() {
    let generator = |body: &str| {
        format!(
            "\"usernameAttributeProvider\": {{\"@class\": \
             \"PAnonymousRegisteredServiceUsernameAttributeProvider\", \"persistentIdGenerator\": \
             {{\"@class\": \"org.apereo.cas.authentication.principal.\
             ShibbolethCompatiblePersistentIdGenerator\", {body}}}}}"
        )
    };
    let service = good(&generator("\"salt\": \"thisisasalt\""));
    let mut principal = person();
    principal.id = "grudkin".to_owned();
    let url = "https://shibboleth.irbmanager.com/";
    let user = |service: &RegisteredService, principal: &Principal, url: &str| {
        service.release(principal, url).unwrap().user
    };
    assert_eq!(
        user(&service, &principal, url),
        "jvZO/wYedArYIEIORGdHoMO4qkw="
    );
    assert_ne!(
        user(&service, &principal, URL),
        "jvZO/wYedArYIEIORGdHoMO4qkw="
    );
    let by_attribute = good(&generator(
        "\"salt\": \"thisisasalt\", \"attribute\": \"uid\"",
    ));
    assert_eq!(
        user(&by_attribute, &principal, url),
        "jvZO/wYedArYIEIORGdHoMO4qkw="
    );
    principal.id = "other".to_owned();
    principal.attributes = vec![("UID".to_owned(), vec!["grudkin".to_owned()])];
    assert_eq!(
        user(&by_attribute, &principal, url),
        "jvZO/wYedArYIEIORGdHoMO4qkw="
    );
    assert!(
        read(&generator("\"attribute\": \"uid\"")).0.is_none(),
        "no salt"
    );
    assert!(!format!("{:?}", service.username).contains("thisisasalt"));
    assert!(!service.document.to_string().contains("thisisasalt"));
}

#[test]
fn what_is_encrypted_needs_a_key() {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let body = format!(
        "\"attributeReleasePolicy\": {}, \"publicKey\": {{\"@class\": \
         \"PRegisteredServicePublicKeyImpl\", \"location\": \"file:/keys/app.pem\", \
         \"algorithm\": \"RSA\"}}, \"usernameAttributeProvider\": {{\"@class\": \
         \"PDefaultRegisteredServiceUsernameProvider\", \"encryptUsername\": true}}",
        policy("ReturnEncrypted\", \"allowedAttributes\": [\"mail\"]")
    );
    let mut service = good(&body);
    assert_eq!(service.wants_key().unwrap().path, "/keys/app.pem");
    assert_eq!(
        service.release(&person(), URL),
        None,
        "without the key nothing is told"
    );
    let owner = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der = owner.public_key().as_der().unwrap();
    service.set_key(EncryptingKey::read(der.as_ref()).unwrap());
    let told = service.release(&person(), URL).unwrap();
    let owner = Pkcs1PrivateDecryptingKey::new(owner).unwrap();
    let open = |text: &str| {
        let mut out = vec![0; owner.min_output_size()];
        let plain = owner.decrypt(&STANDARD.decode(text).unwrap(), &mut out);
        String::from_utf8(plain.unwrap().to_vec()).unwrap()
    };
    assert_eq!(open(&told.user), "mLee7");
    assert_eq!(open(&told.attributes[0].1[0]), "M.Lee@example.edu");
    let without = body.replace("\"publicKey\"", "\"contacts\"");
    assert!(read(&without).0.is_none());
}
