//! The double of everything that this crate reaches: a disk, a network, clocks and chance, from one seed.
//!
//! ```text
//!   World   -- next() --> which driver's turn it is, the clock set to that moment
//!     |  drivers: a thread's door each (SimDriver: Driver)        connections between them, with delay and faults
//!     |  agenda: what happens when                                 every choice rolled with one dice
//!     +- SimFiles: a host's disk, its page cache, its faults      shared by the drivers of one host
//! ```
//! The same seed and the same calls give the same world: [`World::hash`] says so.

mod dice;
mod disk;
mod driver;
mod fault;
mod files;
mod network;
mod trace;
mod weather;
mod world;

pub use self::dice::Dice;
pub use self::fault::{Fault, Op, SimCounters};
pub(crate) use self::files::Handle;
pub use self::files::SimFiles;
pub use self::weather::Weather;
pub use self::world::{DriverId, World};
