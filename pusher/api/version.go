package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// ErrChanged is for whoever changes a version that is not the newest any more.
var ErrChanged = errors.New("somebody else has changed the settings since you saw them: look at them again, and then change them")

// VersionOf is the same for the same rows, which JSON can write, also after a restart.
func VersionOf(rows ...any) string {
	h := sha256.New()
	for _, row := range rows {
		text, err := json.Marshal(row)
		if err != nil {
			text = []byte(err.Error()) // of a value that no setting has
		}
		h.Write(append(text, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Matches tells whether a request is for a version: If-Match (RFC 9110, 13.1.1) names it, or
// is not there.
func Matches(r *http.Request, version string) bool {
	header := strings.Join(r.Header.Values("If-Match"), ",")
	if header == "" {
		return true
	}
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == `"`+version+`"` {
			return true
		}
	}
	return false
}

// AnswerVersion answers with what has a version, which the answer's ETag is.
func AnswerVersion(w http.ResponseWriter, r *http.Request, version string, v any) {
	w.Header().Set("ETag", `"`+version+`"`)
	Answer(w, r, http.StatusOK, v)
}
