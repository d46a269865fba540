//! Names of members, kept as the engine's atoms from one message to the next: most messages of a
//! script have the same names, and making an atom costs more than looking one up here.
#![allow(unsafe_code)] // Atoms are counted by hand.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rquickjs::qjs;

use super::raw::{Js, Thrown};

/// Longer names, and names beyond so many, are made anew each time.
const LONGEST: usize = 48;
const MOST: usize = 1024;

#[derive(Default)]
pub struct Keys {
    atoms: RefCell<HashMap<Box<[u8]>, qjs::JSAtom, BuildHasherDefault<Fnv>>>,
}

impl Keys {
    /// The atom of `name`, with a reference for the caller.
    pub fn atom(&self, js: Js, name: &str) -> Result<qjs::JSAtom, Thrown> {
        if name.len() > LONGEST {
            return js.key(name).map(super::raw::Key::into_raw);
        }
        if let Some(atom) = self.atoms.borrow().get(name.as_bytes()) {
            return Ok(js.duplicate_atom(*atom));
        }
        let atom = js.key(name)?.into_raw();
        let mut atoms = self.atoms.borrow_mut();
        if atoms.len() < MOST {
            atoms.insert(name.as_bytes().into(), js.duplicate_atom(atom));
        }
        Ok(atom)
    }

    /// Lets go of all atoms, while there is a context to do it in.
    pub fn clear(&self, js: Js) {
        for (_, atom) in self.atoms.borrow_mut().drain() {
            // SAFETY: the reference is the table's own.
            unsafe { qjs::JS_FreeAtom(js.context(), atom) };
        }
    }
}

/// FNV-1a: short names, and few of them, so that crafted collisions cost little.
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
