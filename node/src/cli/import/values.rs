//! Reads the values of Apereo's properties and says them as Castor's keys.

use toml::Value;

/// Keys of castor.toml with their values.
pub(super) type Keys = Vec<(&'static str, Value)>;

/// What a value becomes; an error says why it has no counterpart.
pub(super) type Mapped = Result<Keys, String>;

fn text(key: &'static str, value: impl Into<String>) -> Keys {
    vec![(key, Value::String(value.into()))]
}

fn flag(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("is not true or false".to_owned()),
    }
}

/// Milliseconds of `PT8H`, `P14D`, `28800` (in `unit_ms`) or Spring's `8h`.
pub(super) fn duration_ms(value: &str, unit_ms: u64) -> Result<u64, String> {
    let wrong = || "is no length of time".to_owned();
    if let Ok(number) = value.parse::<i64>() {
        let number = u64::try_from(number).map_err(|_| never())?;
        return number.checked_mul(unit_ms).ok_or_else(wrong);
    }
    let upper = value.to_ascii_uppercase();
    if matches!(upper.as_str(), "INFINITE" | "NEVER") {
        return Err(never());
    }
    if let Some(iso) = upper.strip_prefix('P') {
        return iso_ms(iso).ok_or_else(wrong);
    }
    let digits = upper.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = upper.split_at_checked(digits).ok_or_else(wrong)?;
    let unit = match unit.trim() {
        "MS" => 1,
        "S" => 1_000,
        "M" => 60_000,
        "H" => 3_600_000,
        "D" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

fn never() -> String {
    "means for ever; everything in Castor has an end".to_owned()
}

/// What follows the `P` of an ISO 8601 duration, in milliseconds.
fn iso_ms(iso: &str) -> Option<u64> {
    let (days, time) = iso.split_once('T').unwrap_or((iso, ""));
    let from_days = parts_ms(days, &[('W', 604_800_000), ('D', 86_400_000)])?;
    let from_time = parts_ms(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
    let some = !days.is_empty() || !time.is_empty();
    some.then(|| from_days.checked_add(from_time)).flatten()
}

fn parts_ms(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0_u64;
    for (unit, ms) in units {
        if let Some((number, rest)) = text.split_once(*unit) {
            let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            let thousandths: u64 = thousandths.parse().ok()?;
            let whole: u64 = whole.parse().ok()?;
            let part = whole
                .checked_mul(*ms)?
                .checked_add(thousandths * ms / 1000)?;
            sum = sum.checked_add(part)?;
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

/// As Castor writes it, in the largest unit that is exact.
pub(super) fn period(ms: u64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let exact = units
        .iter()
        .find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit));
    exact.map_or_else(
        || format!("{ms}ms"),
        |(name, unit)| format!("{}{name}", ms / unit),
    )
}

/// A lifetime in seconds or as a duration.
fn lifetime(key: &'static str, value: &str) -> Mapped {
    match duration_ms(value, 1000)? {
        0 => Err(never()),
        ms => Ok(text(key, period(ms))),
    }
}

pub(super) fn tgt_max(value: &str) -> Mapped {
    lifetime("tickets.tgt.max_life", value)
}

pub(super) fn tgt_idle(value: &str) -> Mapped {
    lifetime("tickets.tgt.idle", value)
}

pub(super) fn remember_life(value: &str) -> Mapped {
    let mut keys = lifetime("tickets.remember_me.max_life", value)?;
    keys.extend(lifetime("tickets.remember_me.idle", value)?);
    Ok(keys)
}

pub(super) fn remember_enabled(value: &str) -> Mapped {
    Ok(vec![("tickets.remember_me.enabled", flag(value)?.into())])
}

/// The cookie of a session is bound to address and browser, both or neither.
pub(super) fn pin_to_session(value: &str) -> Mapped {
    let pin = flag(value)?;
    Ok(vec![
        ("web.cookie.pin_to_address", pin.into()),
        ("web.cookie.pin_to_user_agent", pin.into()),
    ])
}

/// Apereo's policy refuses a sign-in when there is a session already.
pub(super) fn unique_principal(value: &str) -> Mapped {
    if !flag(value)? {
        return Ok(Vec::new());
    }
    let mut keys = text("tickets.at_user_limit", "refuse");
    keys.push(("tickets.max_sessions_per_user", 1.into()));
    Ok(keys)
}

pub(super) fn st_life(value: &str) -> Mapped {
    lifetime("tickets.st.life", value)
}

pub(super) fn pt_life(value: &str) -> Mapped {
    lifetime("tickets.pt.life", value)
}

/// Failures before Apereo refuses; 0 and less switch its throttle off.
pub(super) fn throttle_threshold(value: &str) -> Mapped {
    match value.parse::<i64>() {
        Ok(..=0) => Ok(vec![("authn.throttle.enabled", false.into())]),
        Ok(failures @ 1..=1000) => Ok(vec![("authn.throttle.user_failures", failures.into())]),
        Ok(_) => Err("is more than 1000 failures".to_owned()),
        Err(_) => Err("is no number".to_owned()),
    }
}

/// For how long failures count, in seconds.
pub(super) fn throttle_range(value: &str) -> Mapped {
    match value.parse::<i64>() {
        Ok(..=0) => Ok(Vec::new()),
        Ok(seconds @ 1..=3600) => {
            // The shortest there is counts more than what was asked for.
            let window = period(seconds.max(60).unsigned_abs() * 1_000);
            let mut keys = text("authn.throttle.window", window.as_str());
            if seconds < 300 {
                keys.extend(text("authn.throttle.max_delay", window));
            }
            Ok(keys)
        }
        Ok(_) => Err("is longer than authn.throttle.window may be, 1h".to_owned()),
        Err(_) => Err("is no number".to_owned()),
    }
}

/// How long Apereo refuses: Castor's longest pause, as the first ones are shorter.
pub(super) fn throttle_pause(value: &str) -> Mapped {
    match duration_ms(value, 1000)? {
        0 => Ok(Vec::new()),
        ms @ 5_000..=900_000 => Ok(text("authn.throttle.max_delay", period(ms))),
        _ => Err("is not within 5s and 15m; set authn.throttle.max_delay".to_owned()),
    }
}

pub(super) fn follow_redirects(value: &str) -> Mapped {
    Ok(vec![(
        "logout.follow_service_redirects",
        flag(value)?.into(),
    )])
}

pub(super) fn confirm_logout(value: &str) -> Mapped {
    Ok(vec![("logout.confirm", flag(value)?.into())])
}

pub(super) fn logout_url(value: &str) -> Mapped {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    Ok(text("logout.redirect_url", value))
}

pub(super) fn slo_disabled(value: &str) -> Mapped {
    Ok(vec![("logout.tell_applications", (!flag(value)?).into())])
}

pub(super) fn saml_issuer(value: &str) -> Mapped {
    Ok(text("saml.issuer", value))
}

pub(super) fn saml_namespace(value: &str) -> Mapped {
    Ok(text("saml.attribute_namespace", value))
}

pub(super) fn same_site(value: &str) -> Mapped {
    match value.to_ascii_lowercase().as_str() {
        "" | "none" => Ok(text("web.cookie.same_site", "none")),
        word @ ("lax" | "strict") => Ok(text("web.cookie.same_site", word)),
        _ => Err("is none, lax or strict in Castor".to_owned()),
    }
}

pub(super) fn folder(value: &str) -> Mapped {
    let path = value.strip_prefix("file:").unwrap_or(value);
    // `file:///etc` and `file:/etc` name the same.
    let path = format!("/{}", path.trim_start_matches('/'));
    if value.contains("classpath:") || path == "/" {
        return Err(
            "is inside Apereo's archive: copy the files and set services.folder".to_owned(),
        );
    }
    if !value.starts_with("file:") && !value.starts_with('/') {
        return Err("is no folder of this machine; set services.folder".to_owned());
    }
    Ok(text("services.folder", path))
}

pub(super) fn port(value: &str) -> Mapped {
    match value.parse::<u16>() {
        Ok(port) if port > 0 => Ok(text("http.listen", format!("127.0.0.1:{port}"))),
        _ => Err("is no fixed port".to_owned()),
    }
}

pub(super) fn context_path(value: &str) -> Mapped {
    Ok(text("http.prefix", value.trim_end_matches('/')))
}

/// `https://sso.example.org/cas`: the address people see, and the path in it.
pub(super) fn server_prefix(value: &str) -> Mapped {
    let url = value.trim_end_matches('/');
    let after = url.split_once("://").map(|(_, rest)| rest);
    let path = after.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    let Some(path) = path else {
        return Err("has no path; Castor lives below one, such as /cas".to_owned());
    };
    let mut keys = text("http.prefix", path);
    keys.extend(text("http.public_url", url));
    Ok(keys)
}

fn millis(key: &'static str, value: &str) -> Mapped {
    Ok(text(key, period(duration_ms(value, 1)?)))
}

pub(super) fn connect_timeout(value: &str) -> Mapped {
    millis("outbound.connect_timeout", value)
}

pub(super) fn read_timeout(value: &str) -> Mapped {
    millis("outbound.timeout", value)
}
