package pusher

import "bytes"

// Public is a sentence as viewers may read it: with the last name alone of each path of a
// file.
func Public(sentence string) string { return string(withoutFolders([]byte(sentence))) }

// withoutFolders leaves of each path of a file in a text its last name: viewers see that
// video0 is busy, and not what the computer's folders are called. A path begins where a
// word does, with a slash, and has two names at least, so that links, kinds as image/jpeg
// and networks as 192.0.2.0/24 stay. The answer shares nothing with text.
func withoutFolders(text []byte) []byte {
	out := make([]byte, 0, len(text))
	done := 0 // of text
	for {
		i := bytes.IndexByte(text[done:], '/')
		if i < 0 {
			return append(out, text[done:]...)
		}
		i += done
		out = append(out, text[done:i]...)
		n, last := pathAt(text[i:])
		if !wordBegins(text[:i]) {
			last = 0
		}
		done = i + max(n, 1)
		out = append(out, text[i+last:done]...)
	}
}

// wordBegins tells whether a word begins behind text, which may be JSON: there the end of a
// line is \n.
func wordBegins(text []byte) bool {
	return len(text) == 0 || bytes.IndexByte([]byte(" \t\n\"'(<>[{=:,;"), text[len(text)-1]) >= 0 || bytes.HasSuffix(text, []byte(`\n`))
}

// pathAt is the length of what looks like a path at the beginning of text, and where its
// last name begins; 0 if it has one name only, or none, as the slashes of http://.
func pathAt(text []byte) (n, last int) {
	names := 0
	for n < len(text) && text[n] == '/' {
		begin := n + 1
		end := begin
		for end < len(text) && isNameByte(text[end]) {
			end++
		}
		if end == begin {
			break
		}
		if names++; names > 1 {
			last = begin
		}
		n = end
	}
	return n, last
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80 || bytes.IndexByte([]byte("._-+@~*%"), c) >= 0
}
