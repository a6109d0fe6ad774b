package status

import "time"

// A Radio is what the board's Wi-Fi does. One without its firmware has no link, and is
// told of nevertheless.
type Radio struct {
	// Link is the name of the radio's link; empty as long as there is none.
	Link string `json:"link,omitempty"`
	// Country is the one by whose rules the radio sends, two capital letters; empty if
	// none was given, or if the kernel did not take it.
	Country string `json:"country,omitempty"`
	// Network is the one that the radio is in; nil if it is in none.
	Network *WiFiNetwork `json:"network,omitempty"`
	// SetUp is the set-up network that the radio itself makes now; nil if it makes none.
	SetUp *SetUp `json:"set_up,omitempty"`
	// Since is when Network or SetUp got what it is now, or became nil.
	Since time.Time `json:"since,omitzero"`
	// Why is a sentence, with a hint, on what does not work; empty if all does. Failure
	// says the same in a word.
	Why     string  `json:"why,omitempty"`
	Failure Failure `json:"failure,omitempty"`
	// Missed is a sentence on why the radio is not in the first of its networks, while it is
	// in another one.
	Missed string `json:"missed,omitempty"`
	// Seen are the networks that were there when the radio last looked, the strongest
	// first, 32 at most, each name once.
	Seen []SeenNetwork `json:"seen,omitempty"`
	// Recovered counts what was done for a radio that had stopped working.
	Recovered Recovered `json:"recovered"`
}

// A WiFiNetwork is one that the radio is in.
type WiFiNetwork struct {
	// SSID is the network's name. What is not text in it is written as \x and two
	// digits.
	SSID string `json:"ssid"`
	// BSSID is the hardware address of its access point.
	BSSID string `json:"bssid,omitempty"`
	// Signal is how strong the access point is heard, in dBm: -50 is good, -75 is weak.
	// 0 is not known yet.
	Signal int `json:"signal_dbm,omitempty"`
	// Rate is what the radio sends with, in Mbit/s; 0 is not known yet.
	Rate int `json:"rate_mbit,omitempty"`
	// Frequency is the middle of the channel in MHz, and Channel its number.
	Frequency int `json:"frequency_mhz,omitempty"`
	Channel   int `json:"channel,omitempty"`
}

// A SetUp is the network by which an owner's phone reaches a camera that is in no
// network.
type SetUp struct {
	SSID  string    `json:"ssid"`
	Until time.Time `json:"until,omitzero"` // when the camera looks for its networks again
}

// A SeenNetwork is one that the radio hears.
type SeenNetwork struct {
	SSID      string `json:"ssid"` // as in WiFiNetwork
	Signal    int    `json:"signal_dbm"`
	Frequency int    `json:"frequency_mhz"`
	// Security is what the network wants: "open", "WEP", "WPA", "WPA2", "WPA3", or
	// "EAP" where each of its users has a name of his own.
	Security string `json:"security"`
}

// Recovered counts what was done, since this program started, but for Reboots, which
// are all there ever were.
type Recovered struct {
	Reassociated int `json:"reassociated"`
	Restarted    int `json:"restarted"` // the link was switched off and on
	Reloaded     int `json:"reloaded"`  // the driver was loaded anew
	Reboots      int `json:"reboots"`
	// LastReboot is when, and why, the system was last rebooted for its radio.
	LastReboot time.Time `json:"last_reboot,omitzero"`
	Reason     string    `json:"reason,omitempty"`
}

// A Failure says in a word why the radio is in no network, or of no use there.
type Failure string

const (
	NoNetworks      Failure = "no_networks"      // none was told to the camera
	NotSeen         Failure = "not_seen"         // no network has the name
	OtherSpelling   Failure = "other_spelling"   // one has nearly the name
	WrongPassword   Failure = "wrong_password"   //
	PasswordMissing Failure = "password_missing" // the network has one and the camera does not
	OpenNetwork     Failure = "open_network"     // the camera has a password and the network does not
	WPA3Only        Failure = "wpa3_only"        //
	Outdated        Failure = "outdated"         // it is secured by WEP
	Enterprise      Failure = "enterprise"       // each of its users has a name of his own
	Refused         Failure = "refused"          // the router lets the camera not in
	Full            Failure = "full"             // the router has as many guests as it takes
	WeakSignal      Failure = "weak_signal"      //
	NoAddress       Failure = "no_address"       // no router gives an address
	Silent          Failure = "silent"           // it was of use and nothing answers any more
	FirmwareMissing Failure = "firmware_missing" // the image has none for this radio
	NoRadio         Failure = "no_radio"         // the driver does not find it
	NotReached      Failure = "not_reached"      // another reason, or not known yet
)
