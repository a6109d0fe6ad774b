package pusher

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Token lets a program look that takes only a URL, as /stream?token=…. It is good for
// nothing else. The owner makes and revokes tokens at /api/tokens.
type Token struct {
	Name string    `json:"name"`   // that the owner gave it
	Hash string    `json:"sha256"` // of its secret, in hexadecimal digits; that has 130 random bits, which nobody guesses
	Made time.Time `json:"made"`
}

const (
	maxTokens    = 32
	maxTokenName = 64 // bytes
)

// tokens are those that are good, and the answer to /api/tokens.
type tokens struct {
	ctx  context.Context // of all passes
	keep func([]Token)   // may be nil

	mu   sync.Mutex
	all  []Token               // in the order in which they were made
	pass map[string]*tokenPass // by Hash
}

type tokenPass struct {
	pass
	end context.CancelFunc
}

func newTokens(ctx context.Context, v *Viewing) *tokens {
	ts := &tokens{ctx: ctx, keep: v.KeepTokens, pass: make(map[string]*tokenPass)}
	for _, t := range v.Tokens[:min(len(v.Tokens), maxTokens)] {
		ts.add(t)
	}
	return ts
}

// add makes a token good. ts.mu is held, or nobody else has ts.
func (ts *tokens) add(t Token) {
	p := &tokenPass{pass: pass{role: onlyViewer, token: true}}
	p.ctx, p.end = context.WithCancel(ts.ctx)
	ts.all = append(ts.all, t)
	ts.pass[t.Hash] = p
}

func tokenHash(secret string) string {
	hash := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(hash[:])
}

// find is the pass of a token; nil if it is not good, or no more.
func (ts *tokens) find(secret string) *pass {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if p := ts.pass[tokenHash(secret)]; p != nil {
		return &p.pass
	}
	return nil
}

// ServeHTTP lists the tokens' names, makes a token of a name, whose secret is told this
// once, or revokes one, which ends the streams that were opened with it.
func (ts *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		fail(w, r, http.StatusBadRequest, "What was sent is no form: %v", err)
		return
	}
	name := strings.TrimSpace(r.Form.Get("name"))
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		writeJSON(w, http.StatusOK, map[string]any{"tokens": ts.names()})
	case http.MethodPost:
		ts.make(w, r, name)
	case http.MethodDelete:
		if !ts.revoke(name) {
			fail(w, r, http.StatusNotFound, "There is no token with the name %q", name)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		const allow = "GET, HEAD, POST, DELETE"
		w.Header().Set("Allow", allow)
		fail(w, r, http.StatusMethodNotAllowed, "%s takes %s, not %s", r.URL.Path, allow, r.Method)
	}
}

// namedToken is a token as the owner sees it.
type namedToken struct {
	Name string    `json:"name"`
	Made time.Time `json:"made"`
}

func (ts *tokens) names() []namedToken {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	names := []namedToken{} // in JSON a list, also if it is empty
	for _, t := range ts.all {
		names = append(names, namedToken{t.Name, t.Made})
	}
	return names
}

func (ts *tokens) make(w http.ResponseWriter, r *http.Request, name string) {
	if name == "" || len(name) > maxTokenName || strings.ContainsFunc(name, unicode.IsControl) {
		fail(w, r, http.StatusBadRequest, "A token needs a name of 1 to %d bytes, by which you know it again: name=…", maxTokenName)
		return
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	switch {
	case ts.index(name) >= 0:
		fail(w, r, http.StatusConflict, "There is a token %q already; DELETE it first, or take another name", name)
		return
	case len(ts.all) >= maxTokens:
		fail(w, r, http.StatusConflict, "There are %d tokens, and there may be no more; DELETE one first", maxTokens)
		return
	}
	secret := rand.Text()
	ts.add(Token{name, tokenHash(secret), time.Now().UTC().Truncate(time.Second)})
	ts.keepAll()
	writeJSON(w, http.StatusCreated, map[string]string{"name": name, "token": secret, "url": "../stream?token=" + secret})
}

func (ts *tokens) revoke(name string) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	i := ts.index(name)
	if i < 0 {
		return false
	}
	hash := ts.all[i].Hash
	ts.pass[hash].end()
	delete(ts.pass, hash)
	ts.all = slices.Delete(ts.all, i, i+1)
	ts.keepAll()
	return true
}

func (ts *tokens) index(name string) int {
	return slices.IndexFunc(ts.all, func(t Token) bool { return t.Name == name })
}

// keepAll has all be kept over a restart. ts.mu is held.
func (ts *tokens) keepAll() {
	if ts.keep != nil {
		ts.keep(slices.Clone(ts.all))
	}
}
