// For Deno and Bun, whose arguments are in different places.
const url = process.argv.at(-1);
console.log(await (await fetch(url)).text());
