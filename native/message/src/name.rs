//! Names of customers, pipelines and outs. They become subjects, KV keys, paths and namespaces.

/// Why a name is refused; a sentence to follow "the name `x`".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError(pub &'static str);

/// `[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?`: a DNS label (RFC 1123) of at most 40 characters.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 40 {
        return Err(NameError("has to have 1 to 40 characters"));
    }
    if bytes.first() == Some(&b'-') || bytes.last() == Some(&b'-') {
        return Err(NameError("must not start or end with a hyphen"));
    }
    if bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-') {
        Ok(())
    } else {
        Err(NameError("may hold only a-z, 0-9 and hyphens"))
    }
}

/// A name without two hyphens in a row. In `VRSKY_SECRET_<CUSTOMER>__<NAME>` hyphens are underscores: so the
/// last two in a row are the border, and no customer's variable is another's.
pub fn check_secret_name(name: &str) -> Result<(), NameError> {
    check_name(name)?;
    if name.contains("--") {
        return Err(NameError("must not have two hyphens in a row"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels_of_at_most_forty() {
        for good in ["a", "acme", "a-1", "0", &"x".repeat(40)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a*", ">", "a b", "ä", &"x".repeat(41)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_secret_cannot_reach_into_the_name_of_a_customer() {
        assert!(check_name("a--b").is_ok());
        assert!(check_secret_name("b-c").is_ok());
        for bad in ["b--c", "b---c", "-b", ""] {
            assert!(check_secret_name(bad).is_err(), "{bad}");
        }
    }
}
