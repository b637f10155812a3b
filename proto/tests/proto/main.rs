//! Tests of the contracts from outside: what a third party who depends on this crate alone can see.

#[cfg(test)]
mod files;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod vectors;
