//go:build linux

package portal

// The kinds of security that the page tells apart; see status.SeenNetwork.
const (
	open       = "open"
	wep        = "WEP"
	wpa3       = "WPA3"
	enterprise = "EAP"
)

// says is what the page says of what was typed; the rest of its words is in page.go.
var says = struct {
	noNetwork, noKey, keyForOpen, noCountry, noViewing, noPassword, wrongPassword, notForm, foreign, notSaved, notKept string
	unusable                                                                                                           map[string]string // by security
}{
	noNetwork:     "Choose the network that the camera is to join.",
	noKey:         "This network has a password: type it.",
	keyForOpen:    "This network has no password: leave this empty.",
	noCountry:     "Choose the country that the camera is in: it says on which channels the radio may send.",
	noViewing:     "Choose who may look.",
	noPassword:    "Type the owner’s password of this camera. If nobody knows it, write password= and a new one into pushcam.txt on the card.",
	wrongPassword: "That is not the owner’s password of this camera.",
	notForm:       "What was sent is not this page’s form. Open the page again.",
	foreign:       "A page of another site may not set the camera up. Open this camera’s own page.",
	notSaved:      "The camera could not take this: ",
	notKept:       "The camera goes there now, but it could not keep this: ",
	unusable: map[string]string{
		enterprise: "It wants a user’s name as well, which the camera cannot give.",
		wpa3:       "It is WPA3 only, which the camera’s radio cannot do: set WPA2 + WPA3 on the router’s page.",
		wep:        "It is WEP, which anybody can break: set WPA2 on the router’s page.",
	},
}
