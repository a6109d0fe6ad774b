import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

/** Says what HttpURLConnection gets of each URL: status, type, and its first bytes. */
public class Grab {
  public static void main(String[] urls) throws Exception {
    for (String url : urls) {
      HttpURLConnection c = (HttpURLConnection) new URL(url).openConnection();
      try (InputStream in = c.getInputStream()) {
        byte[] some = in.readNBytes(60);
        System.out.println(c.getResponseCode() + " " + c.getContentType() + " " + new String(some, "ISO-8859-1").split("\r", 2)[0]);
      }
      c.disconnect();
    }
  }
}
