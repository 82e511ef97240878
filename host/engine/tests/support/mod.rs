pub mod judge;
pub mod readings;
