//! The pages in a real browser: with and without scripts, at desk and in the hand, by keyboard.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::demo::Demo;
use crate::support::person::login_url;
use crate::support::wait;
use crate::support::webdriver::{Browser, ENTER, Look, TAB};

const APP: &str = "http://127.0.0.1:8001/pages";
const DESK: Look = Look {
    width: 1280,
    height: 900,
    scripts: true,
};
const HAND: Look = Look {
    width: 390,
    height: 844,
    scripts: true,
};
const NO_SCRIPTS: Look = Look {
    width: 1280,
    height: 900,
    scripts: false,
};

/// Keeps a picture in target/screenshots for a person to look at; fails when it is blank.
fn picture(browser: &Browser, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
    fs::create_dir_all(&folder).expect("a folder in target");
    let png = browser.screenshot();
    // A blank page of this size compresses to far less.
    assert!(
        png.len() > 8_000,
        "{name}: {} bytes are a blank page",
        png.len()
    );
    fs::write(folder.join(format!("{name}.png")), png).expect("a writable folder");
}

/// Waits until the browser shows a page below this address.
fn arrives(browser: &Browser, address: &str) {
    let there = || browser.url().starts_with(address).then_some(());
    wait::until(address, Duration::from_secs(10), there);
}

/// Nothing sticks out to the side, so nobody scrolls sideways. A page that was just loaded has the
/// width of a desk until the browser has read how wide it wants to be.
fn fits(browser: &Browser, look: &Look, name: &str) {
    let wanted = format!("{name} fits on {}", look.width);
    wait::until(&wanted, Duration::from_secs(5), || {
        let layout = browser.layout();
        let width = layout["cssContentSize"]["width"].as_f64();
        (width.expect("a width") <= f64::from(look.width)).then_some(())
    });
}

#[test]
fn pages_fit_desk_and_hand() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    for (look, size) in [(DESK, "desk"), (HAND, "hand")] {
        let browser = Browser::open(&look);
        let see = |page: &str| {
            let name = format!("{page}-{size}");
            fits(&browser, &look, &name);
            picture(&browser, &name);
        };
        browser.go(&format!("{}/login", cluster.front));
        see("sign-in");
        browser.type_into("input[name=username]", &cluster.username);
        browser.type_into("input[name=password]", &cluster.wrong_password);
        browser.click("button[type=submit]");
        see("wrong-password");
        assert!(browser.source().contains("password"), "the form again");
        browser.type_into("input[name=password]", &cluster.password);
        browser.click("button[type=submit]");
        see("signed-in");
        browser.go(&format!("{}/logout", cluster.front));
        see("signed-out");
        browser.go(&login_url(
            &cluster.front,
            "https://not-registered.example.org/",
        ));
        see("refused-service");
        let complaints = browser.complaints();
        let policy = complaints
            .iter()
            .find(|c| c.contains("Content Security Policy"));
        assert!(policy.is_none(), "{complaints:#?}");
    }
}

#[test]
fn being_told_to_wait_fits_desk_and_hand() {
    let limits = ["user_failures=1", "first_delay=5m"];
    let limits = limits.map(|limit| format!("authn.throttle.{limit}"));
    let demo = Demo::start_with(&["--set", &limits[0], "--set", &limits[1]]);
    let cluster = &demo.cluster;
    for (look, size) in [(DESK, "desk"), (HAND, "hand")] {
        let browser = Browser::open(&look);
        browser.go(&format!("{}/login", cluster.front));
        browser.type_into("input[name=username]", size);
        // The second time nobody looks at the password; the user name is still there.
        for (password, says) in [
            (&cluster.wrong_password, "role=\"alert\""),
            (&cluster.password, "Please wait 5 min"),
        ] {
            browser.type_into("input[name=password]", password);
            browser.click("button[type=submit]");
            let told = || browser.source().contains(says).then_some(());
            wait::until(says, Duration::from_secs(10), told);
        }
        let name = format!("throttled-{size}");
        fits(&browser, &look, &name);
        picture(&browser, &name);
    }
}

#[test]
fn signing_in_needs_no_scripts() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let browser = Browser::open(&NO_SCRIPTS);
    browser.go("data:text/html,<title>plain</title><script>document.title='scripted'</script>");
    assert!(
        browser.source().contains("<title>plain"),
        "scripts run in this browser"
    );
    browser.go(&cluster.app);
    assert!(
        browser.url().contains("/login?service="),
        "{}",
        browser.url()
    );
    browser.type_into("input[name=username]", &cluster.username);
    browser.type_into("input[name=password]", &cluster.password);
    browser.click("button[type=submit]");
    arrives(&browser, &cluster.app);
    assert!(
        browser.source().contains(&cluster.username),
        "{}",
        browser.source()
    );
    picture(&browser, "application");
}

#[test]
fn signing_in_needs_no_mouse() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let browser = Browser::open(&DESK);
    browser.go(&login_url(&cluster.front, &cluster.app));
    // From the address bar into the page: the first field is at most a few steps away.
    let reached = (0..6).any(|step| {
        if step > 0 {
            browser.keys(TAB);
        }
        browser.focused("name") == "username"
    });
    assert!(reached, "the user name cannot be reached by the keyboard");
    browser.keys(&cluster.username);
    browser.keys(TAB);
    assert_eq!(browser.focused("name"), "password");
    browser.keys(&cluster.password);
    browser.keys(ENTER);
    arrives(&browser, &cluster.app);
}

#[test]
fn the_cookie_is_kept_from_scripts_and_plain_text() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    let name = cluster.username.clone();
    let answer = person.sign_in_as(&cluster.front, APP, &name, &cluster.password);
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookie = cookies
        .filter_map(|c| c.to_str().ok())
        .find(|c| c.starts_with("TGC="));
    let cookie = cookie.expect("a TGC").to_owned();
    for attribute in ["Secure", "HttpOnly", "SameSite=None", "Path=/cas"] {
        assert!(
            cookie.split("; ").any(|part| part == attribute),
            "{attribute}: {cookie}"
        );
    }
    assert!(
        !cookie.contains("TGT-"),
        "the ticket is in the cookie in clear"
    );
    let page = demo.person().get(&login_url(&cluster.front, APP));
    for (header, wanted) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
    ] {
        assert!(
            page.header(header).contains(wanted),
            "{header}: {:?}",
            page.header(header)
        );
    }
}
