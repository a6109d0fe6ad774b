// Package setup is what an owner has set: in the text file pushcam.txt on the card, in
// the files of Raspberry Pi Imager beside it, or on the page of the set-up network.
//
// Process 1 takes what is in the card's files over to /perm at every boot (Take), and
// the programs of the image read the result below /run, so none of them waits for the
// card. What is changed later goes through Save.
package setup
