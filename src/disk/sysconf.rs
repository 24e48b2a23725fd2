//! `sysconf.txt`: read and edited by the rules of the parser on the Pi.
