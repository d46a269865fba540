//! Credentials in a file: an NKey, alone or with the JWT of a user.
//!
//! ```text
//! seed:  base32(S and type in 10 bits, 32 bytes of Ed25519, CRC-16)    SU...
//! key:   base32(type in 8 bits, 32 bytes of Ed25519, CRC-16)           U...
//! INFO with a nonce ──► CONNECT with its signature, and with the JWT or the key
//! ```

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use message::{Code, Fault};
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::Auth;

/// A JWT with many permissions takes some kilobytes.
const LARGEST_FILE: u64 = 1 << 20;
const SEED: u8 = 18 << 3;
const USER: u8 = 20 << 3;
/// Two bytes of types, the seed, the CRC.
const SEED_BYTES: usize = 2 + 32 + 2;

/// What CONNECT says in answer to a nonce. `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// Of a creds file.
    pub jwt: Option<String>,
    /// The public key, where there is no JWT that holds it.
    pub nkey: Option<String>,
    /// Of the nonce, in base64 for URLs.
    pub signature: String,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Auth {
    /// Signs a server's nonce with what is in the file now; `None` when no file was named. Blocks.
    ///
    /// # Errors
    /// `config/invalid-value`, which names the file and nothing that is in it.
    pub fn prove(&self, nonce: &str) -> Result<Option<Proof>, Fault> {
        let (file, wants_jwt) = match self {
            Auth::Creds(file) => (file, true),
            Auth::Nkey(file) => (file, false),
            Auth::None | Auth::User { .. } | Auth::Token(_) => return Ok(None),
        };
        let text = read(file)?;
        let refused = |reason: &str| Fault::new(Code::ConfigInvalidValue, format!("{} {reason}", file.display()));
        let jwt = jwt(&text);
        if wants_jwt && jwt.is_none() {
            return Err(refused("has no JWT of a user between lines of hyphens"));
        }
        let Some(seed) = words(&text).find(|word| word.starts_with("SU")) else {
            return Err(refused("has no seed of a user, which begins with SU"));
        };
        let key = key_pair(seed).ok_or_else(|| refused("has a seed that is damaged"))?;
        let nkey = (!wants_jwt).then(|| public_key(&key));
        let signature = BASE64URL_NOPAD.encode(key.sign(nonce.as_bytes()).as_ref());
        Ok(Some(Proof { jwt: jwt.filter(|_| wants_jwt).map(str::to_owned), nkey, signature }))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The line after the first that says BEGIN.
fn jwt(text: &str) -> Option<&str> {
    let is_mark = |line: &&str| line.starts_with("---") && line.contains("BEGIN") && line.contains("JWT");
    let mut lines = words(text).skip_while(|line| !is_mark(line)).skip(1);
    lines.next().filter(|line| line.split('.').count() == 3)
}

fn key_pair(seed: &str) -> Option<Ed25519KeyPair> {
    let bytes = BASE32_NOPAD.decode(seed.as_bytes()).ok().filter(|bytes| bytes.len() == SEED_BYTES)?;
    let (rest, crc) = bytes.split_at(SEED_BYTES - 2);
    let is_user = rest[0] & 0xf8 == SEED && (rest[0] & 7) << 5 | rest[1] >> 3 == USER;
    if !is_user || crc != crc16(rest).to_le_bytes() {
        return None;
    }
    Ed25519KeyPair::from_seed_unchecked(&rest[2..]).ok()
}

fn public_key(key: &Ed25519KeyPair) -> String {
    let mut bytes = vec![USER];
    bytes.extend_from_slice(key.public_key().as_ref());
    bytes.extend(crc16(&bytes).to_le_bytes());
    BASE32_NOPAD.encode(&bytes)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

fn read(file: &Path) -> Result<String, Fault> {
    let refused = |reason: String| Fault::new(Code::ConfigInvalidValue, format!("{} {reason}", file.display()));
    let mut text = String::new();
    // The error of text that is not UTF-8 does not quote it.
    // A pipe would hold up whoever opens it, for ever.
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(refused("is no regular file".to_owned()));
    }
    File::open(file)
        .and_then(|open| open.take(LARGEST_FILE + 1).read_to_string(&mut text))
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(refused("is larger than 1 MiB".into()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The bytes 0 to 31.
    const SEED_OF_USER: &str = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";

    struct Temporary(PathBuf);

    impl Temporary {
        fn new(text: &str) -> Temporary {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let file = std::env::temp_dir().join(format!("vrsky-credentials-{}-{number}", std::process::id()));
            std::fs::write(&file, text).unwrap();
            Temporary(file)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn creds(text: &str) -> Result<Option<Proof>, Fault> {
        let file = Temporary::new(text);
        Auth::Creds(file.0.clone()).prove("nonce")
    }

    fn nkey(text: &str) -> Result<Option<Proof>, Fault> {
        let file = Temporary::new(text);
        Auth::Nkey(file.0.clone()).prove("nonce")
    }

    #[test]
    fn a_crc_is_that_of_nkeys() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn files_as_the_tools_write_them_and_bare_ones() {
        let creds_file = format!(
            "-----BEGIN NATS USER JWT-----\r\neyJ0.eyJq.c2ln\r\n------END NATS USER JWT------\r\n\r\n\
             ************************* IMPORTANT *************************\r\n\
             -----BEGIN USER NKEY SEED-----\r\n{SEED_OF_USER}\r\n------END USER NKEY SEED------\r\n"
        );
        let proof = creds(&creds_file).unwrap().unwrap();
        assert_eq!((proof.jwt.as_deref(), &proof.nkey), (Some("eyJ0.eyJq.c2ln"), &None));
        assert_eq!(BASE64URL_NOPAD.decode(proof.signature.as_bytes()).unwrap().len(), 64);
        for text in [&creds_file, &format!("{SEED_OF_USER}\n"), &format!("# mine\n  {SEED_OF_USER}")] {
            let proof = nkey(text).unwrap().unwrap();
            assert_eq!(proof.jwt, None);
            assert!(proof.nkey.unwrap().starts_with('U'));
        }
        assert_eq!(Auth::Token("t".into()).prove("nonce"), Ok(None));
    }

    #[test]
    fn what_is_damaged_is_refused_without_a_word_of_it() {
        let jwt = "-----BEGIN NATS USER JWT-----\neyJ0.eyJq.c2ln\n------END NATS USER JWT------\n";
        let swapped = SEED_OF_USER.replacen('B', "C", 1);
        let account = SEED_OF_USER.replacen("SU", "SA", 1);
        for text in ["", "SU", &swapped, &account, &SEED_OF_USER[..50], &format!("{SEED_OF_USER}AA"), "SU\0é"] {
            for proof in [nkey(text), creds(&format!("{jwt}{text}")), creds(text)] {
                let fault = proof.unwrap_err();
                assert_eq!(fault.code(), Code::ConfigInvalidValue);
                assert!(!fault.reason().contains(&SEED_OF_USER[2..9]) && !fault.reason().contains("eyJ0"), "{fault}");
            }
        }
        assert!(creds(SEED_OF_USER).is_err());
        assert!(creds(&format!("-----BEGIN NATS USER JWT-----\nno\n{SEED_OF_USER}")).is_err());
        assert!(nkey(&" ".repeat(2 << 20)).is_err());
        assert!(Auth::Nkey("/nowhere".into()).prove("x").unwrap_err().reason().starts_with("/nowhere"));
        let proof = nkey(SEED_OF_USER).unwrap().unwrap();
        assert_eq!(format!("{proof:?}"), "Proof");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let pipe = Temporary::new("");
        std::fs::remove_file(&pipe.0).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe.0).status().unwrap().success());
        let fault = Auth::Nkey(pipe.0.clone()).prove("nonce").unwrap_err();
        assert!(fault.reason().ends_with("is no regular file"), "{fault}");
    }
}
