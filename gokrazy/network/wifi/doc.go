// Package wifi has the board's radio join its owner's networks, and make one of its own
// (the set-up network) where it has none.
//
// The work with keys and access points is wpa_supplicant's, a program of its own that
// is told by its control socket; nothing secret is in a file or an argument. A machine
// decides: it is told of events and time, and says commands; it knows no socket, so
// that what takes hours or a broken radio can be tried in no time. A Manager starts the
// program, carries the machine's commands out and publishes what there is to say.
// Addresses and routes are package link's, to which the kernel tells whether the radio
// is in a network.
//
// The radio is access point or client, never both: the firmware of these boards breaks.
package wifi
