//! `URL` and `URLSearchParams` over the URL Standard's parser. An address is handed over as its parts, a query as pairs.

use url::{Url, form_urlencoded, quirks};

use super::{Arguments, Host, type_error};
use crate::runtime::raw::{Js, Owned, Thrown};

/// Bytes of an address at most.
const LONGEST: usize = 64 << 10;

/// `parseUrl(text, base)`: the parts; null when it is no address.
pub fn parse(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let text = address(arguments, 0)?;
    let base = if arguments.is_null(1) { None } else { Some(Url::parse(&address(arguments, 1)?)) };
    let parsed = match base {
        None => Url::parse(&text),
        Some(Ok(base)) => base.join(&text),
        Some(Err(error)) => Err(error),
    };
    parts(host.js(), parsed.ok())
}

/// `setUrl(href, part, text)`: the parts with one of them changed; null where the standard changes nothing.
pub fn set(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let Ok(mut url) = Url::parse(&address(arguments, 0)?) else { return Ok(host.js().null()) };
    let text = address(arguments, 2)?;
    let part = arguments.get(1).with_text(|digits| String::from_utf8_lossy(digits).parse().unwrap_or(0))?;
    let is_set: Result<(), ()> = match part {
        0u32 => quirks::set_href(&mut url, &text).map_err(|_| ()),
        2 => quirks::set_protocol(&mut url, &text),
        3 => quirks::set_username(&mut url, &text),
        4 => quirks::set_password(&mut url, &text),
        5 => quirks::set_host(&mut url, &text),
        6 => quirks::set_hostname(&mut url, &text),
        7 => quirks::set_port(&mut url, &text),
        8 => {
            quirks::set_pathname(&mut url, &text);
            Ok(())
        }
        9 => {
            quirks::set_search(&mut url, &text);
            Ok(())
        }
        10 => {
            quirks::set_hash(&mut url, &text);
            Ok(())
        }
        _ => Err(()),
    };
    parts(host.js(), is_set.ok().map(|()| url))
}

/// In the order of `names` in builtins.js.
fn parts(js: Js, url: Option<Url>) -> Result<Owned, Thrown> {
    let Some(url) = url else { return Ok(js.null()) };
    let texts = [
        quirks::href(&url),
        &quirks::origin(&url),
        quirks::protocol(&url),
        quirks::username(&url),
        quirks::password(&url),
        quirks::host(&url),
        quirks::hostname(&url),
        quirks::port(&url),
        quirks::pathname(&url),
        quirks::search(&url),
        quirks::hash(&url),
    ];
    js.array(texts.into_iter().map(|text| js.text(text)).collect::<Result<_, _>>()?)
}

fn address(arguments: &Arguments<'_>, index: usize) -> Result<String, Thrown> {
    let text = arguments.text(index)?;
    if text.len() > LONGEST {
        return Err(type_error(arguments.js, "an address has at most 65,536 bytes"));
    }
    Ok(text)
}

/// `parseQuery(text)`: a list of pairs.
pub fn parse_query(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let (text, js) = (arguments.text(0)?, host.js());
    let mut pairs = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        pairs.push(js.array(vec![js.text(&name)?, js.text(&value)?])?);
    }
    js.array(pairs)
}

/// `writeQuery(names and values)`: of a list of names, each with its value after it.
pub fn write_query(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let (list, js) = (arguments.get(0), host.js());
    let mut query = form_urlencoded::Serializer::new(String::new());
    let text = |at| list.get_index(at)?.with_text(|text| String::from_utf8_lossy(text).into_owned());
    for at in (0..list.length()?).step_by(2) {
        query.append_pair(&text(at)?, &text(at + 1)?);
        if host.must_stop() {
            break;
        }
    }
    js.text(&query.finish())
}
