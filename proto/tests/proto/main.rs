//! Tests of the contracts from outside: what a third party who depends on this crate alone can see.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, which is what it is for")]

#[cfg(test)]
mod api;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod format;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod json;
#[cfg(test)]
mod merkle;
#[cfg(test)]
mod note;
#[cfg(test)]
mod payments;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod receipt;
#[cfg(test)]
mod time;
#[cfg(test)]
mod vectors;
