//! The real binary over a real socket.
