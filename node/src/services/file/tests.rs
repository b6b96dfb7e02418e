//! Folders, good and bad.

use super::*;

fn write(folder: &Path, name: &str, id: i64) {
    let text = format!(
        "{{\n\"@class\": \"org.apereo.cas.services.RegexRegisteredService\",\n\
         \"id\": {id}, \"name\": \"n{id}\", \"serviceId\": \"https://{id}\"}}"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn a_broken_file_is_named_and_the_last_good_set_stays() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    write(dir.path(), "a-1.json", 1);
    write(dir.path(), "sub/b-2.json", 2);
    std::fs::write(dir.path().join("notes.txt"), "not a definition").unwrap();
    std::fs::write(dir.path().join(".a-1.json.swp"), "not one either").unwrap();
    let folder = ServiceFolder::open(dir.path().to_owned()).unwrap();
    let registry = folder.registry();
    assert_eq!(registry.snapshot().len(), 2);

    std::fs::write(dir.path().join("c-3.json"), "{\n\"id\": 3,,\n}").unwrap();
    let error = folder.reload().unwrap_err().to_string();
    assert!(error.contains("c-3.json: line 2"), "{error}");
    assert_eq!(registry.snapshot().len(), 2);

    write(dir.path(), "c-3.json", 2);
    let error = folder.reload().unwrap_err().to_string();
    assert!(error.contains("id 2 is also used by"), "{error}");
    assert!(registry.find("https://2").is_some());

    write(dir.path(), "c-3.json", 3);
    assert_eq!(folder.reload(), Ok(3));
    assert!(registry.find("https://3").is_some());
}

#[test]
fn what_is_not_text_or_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.json"), [0xff, 0xfe]).unwrap();
    std::fs::write(dir.path().join("b.json"), vec![b' '; json::TEXT_MAX + 10]).unwrap();
    std::fs::create_dir(dir.path().join("c.json")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("d.json")).unwrap();
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("a.json: the file is not UTF-8"), "{error}");
    assert!(
        error.contains("b.json: line 1: the file is larger"),
        "{error}"
    );
    assert!(error.contains("d.json: is not a file"), "{error}");
    assert!(load(Path::new("/nonexistent")).is_err());
}

#[test]
fn what_only_several_definitions_show() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, id: i64, order: i32| {
        let text = format!(
            "{{\"@class\": \"org.apereo.cas.services.CasRegisteredService\", \"id\": {id}, \
             \"name\": \"n\", \"serviceId\": \"^https://a/.*\", \"evaluationOrder\": {order}}}"
        );
        std::fs::write(dir.path().join(name), text).unwrap();
    };
    write("App-1.json", 1, 9);
    write("App-2.json", 2, 3);
    write("App-7.json", 3, 20);
    let loaded = load(dir.path()).unwrap();
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    let first = "is never asked: the definition with id 2 has the same serviceId and goes first";
    assert!(told.contains(&format!("App-1.json: {first}")), "{told}");
    assert!(told.contains(&format!("App-7.json: {first}")), "{told}");
    assert!(
        told.contains("App-7.json: the file name ends in another number"),
        "{told}"
    );
    assert!(!told.contains("App-2.json"), "{told}");
}

#[test]
fn a_public_key_is_read_with_its_definition() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    let text = format!(
        "{{\"@class\": \"org.apereo.cas.services.CasRegisteredService\", \"id\": 1, \
         \"name\": \"n\", \"serviceId\": \"x\",\n\"publicKey\": {{\n\"location\": \"file:{}\"}},\n\
         \"usernameAttributeProvider\": {{\"@class\": \"org.apereo.cas.services.\
         DefaultRegisteredServiceUsernameProvider\", \"encryptUsername\": true}}}}",
        key.display()
    );
    std::fs::write(dir.path().join("n-1.json"), text).unwrap();
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("n-1.json: line 3, key `publicKey.location`"),
        "{error}"
    );
    assert!(error.contains("key.pem: cannot read the file"), "{error}");
    std::fs::write(&key, "-----BEGIN NOTHING-----").unwrap();
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("no `PUBLIC KEY` in PEM"), "{error}");
}

/// The folders that the repository ships as examples of what is met.
fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

#[test]
fn definitions_as_institutions_write_them_are_taken() {
    let loaded = load(&testdata("definitions")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.services.len(), 10);
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let wiki = told.iter().filter(|says| says.contains("Wiki-2004.json"));
    let portal = told.iter().filter(|says| says.contains("Portal-100.json"));
    assert_eq!((wiki.count(), portal.count()), (2, 0), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    let registry = Registry::new(Snapshot::new(loaded.services));
    for (url, id) in [
        ("https://portal.example.edu/login?x=1", Some(100)),
        ("https://library.example.edu/search", Some(1010)),
        ("https://physics.example.edu/lab", Some(2001)),
        // Public pages of the department are not the application's.
        ("https://physics.example.edu/public/x", Some(9000)),
        ("https://STAGING.example.edu/APP", Some(8000)),
        ("https://staging.example.edu/app/", Some(9000)),
        ("imaps://mail.example.edu:993", Some(2003)),
        ("https://wiki.example.edu/Start", Some(2004)),
        ("http://wiki.example.edu/Start", None),
        ("https://example.edu.evil.org/", None),
    ] {
        assert_eq!(registry.find(url).map(|s| s.id), id, "{url}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    let examination = examine(&testdata("refused"));
    assert!(!examination.is_good());
    let mut told: Vec<String> = Vec::new();
    for file in &examination.files {
        let name = file.path.file_name().unwrap().to_string_lossy();
        let errors = file.report.errors.iter();
        told.extend(errors.map(|finding| format!("{name}: {finding}")));
    }
    let expected = [
        "Broken-2.json: line 3: `\\.` is not an escape",
        "Contradictory-5.json: line 3, key `serviceId`: unclosed group",
        "Contradictory-5.json: line 8, key `multifactorPolicy.multifactorAuthenticationProviders`",
        "Contradictory-5.json: line 13, key `accessStrategy.endingDateTime`: is before",
        "Duplicate-4.json: line 0: id 4 is also used by",
        "Groovy-1.json: line 8, key `attributeReleasePolicy.allowedAttributes`: attribute uid",
        "Groovy-1.json: line 14, key `accessStrategy.@class`: GroovyRegistered",
        "ServiceProvider-3.json: line 2, key `@class`: is a SAML 2 service provider",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    let broken = &examination.files[0];
    assert_eq!(broken.outline.id, None);
    let refused = examination.files.iter().find(|f| f.outline.id == Some(5));
    assert_eq!(refused.unwrap().outline.name.as_deref(), Some("Never"));
}
