const http = require("http");

http
  .createServer((request, response) => {
    console.log("serving " + request.url);
    if (request.url === "/crash") process.exit(3);
    response.setHeader("Content-Type", "text/plain");
    response.end(`{{text}} says ${process.env.GREETING} on ${process.env.DYNO}\n`);
  })
  .listen(process.env.PORT, "0.0.0.0", () => console.log("listening as {{text}}"));
