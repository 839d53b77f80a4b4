//! Compiled components that do not depend on a configuration: compiled once for all configurations of a file.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use portcullis_model::Digest;
use wasmtime::component::Component;

/// Most components that are kept; an interpreter's takes some 40 MB.
const MOST: usize = 4;

/// What a file was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To run `configure` once.
    Workshop,
    /// To answer calls.
    Calls,
}

/// The ones that were used last. Never touched by a call.
#[derive(Default)]
pub(crate) struct Once(Mutex<VecDeque<(Digest, Use, Component)>>);

impl Once {
    /// The component of a file, compiled now if it is not kept. Two that ask at once both compile.
    ///
    /// # Errors
    /// Those of `compile`.
    pub(crate) fn get<E>(
        &self,
        file: Digest,
        wanted: Use,
        compile: impl FnOnce() -> Result<Component, E>,
    ) -> Result<Component, E> {
        let is = |(digest, used, _): &&(Digest, Use, Component)| *digest == file && *used == wanted;
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let use_again = || {
            let mut kept = kept();
            let at = kept.iter().position(|one| is(&one))?;
            let one = kept.remove(at)?;
            let component = one.2.clone();
            kept.push_front(one);
            Some(component)
        };
        if let Some(component) = use_again() {
            return Ok(component);
        }
        let component = compile()?;
        let mut kept = kept();
        kept.truncate(MOST - 1);
        kept.push_front((file, wanted, component.clone()));
        Ok(component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let engine = wasmtime::Engine::default();
        let (once, file) = (Once::default(), |number: u8| Digest::of(&[number]));
        let compiled = |number| {
            let mut compiled = false;
            let compile = || {
                compiled = true;
                Component::new(&engine, b"\0asm\x0d\0\x01\0")
            };
            once.get(file(number), Use::Calls, compile).unwrap();
            compiled
        };
        assert!((0..4).all(compiled));
        assert!(!compiled(0), "it is kept");
        assert!(compiled(4));
        assert!(!compiled(0), "it was used after the others");
        assert!(compiled(1));
    }
}
