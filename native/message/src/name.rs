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
}
