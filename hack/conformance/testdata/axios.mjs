// Says what axios gets of each URL: status, type, and its first line.
import axios from 'axios';

for (const url of process.argv.slice(2)) {
  const answer = await axios.get(url, { responseType: 'stream' });
  const some = await new Promise(resolve => answer.data.once('data', resolve));
  console.log(answer.status, answer.headers['content-type'], some.toString('latin1').split('\r', 1)[0]);
  answer.data.destroy();
}
process.exit(0);
