// Package wpa is the supplicant of the appliance: Debian's wpa_supplicant as one static
// program for arm64, which is in this folder as a file, with the regulatory database.
// hack/wifi builds and compares them, and gokrazy/image puts them into an image.
package wpa

// Path is the program's in an image. It takes a control socket and needs no file
// (wpa_supplicant -i wlan0 -D nl80211 -C FOLDER), and has no SAE, P2P, WPS or EAP.
const Path = "/lib/pushcam/wpa_supplicant"

// Dir is this folder in a checkout. It has the files by their base names.
const Dir = "gokrazy/network/wpa"

// RegulatoryDB is where the kernel looks for what each country allows, once, when the
// module cfg80211 is loaded. RegulatorySignature is of the key that our kernel knows.
const (
	RegulatoryDB        = "/lib/firmware/regulatory.db"
	RegulatorySignature = "/lib/firmware/regulatory.db.p7s"
)
