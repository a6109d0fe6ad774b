// Bare is the least web server that gokrazy can run: what the appliance's time
// to boot is measured against.
package main

import (
	"io"
	"log"
	"net/http"
)

func main() {
	log.Fatal(http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "bare") // a client that is gone has nobody to tell
	})))
}
