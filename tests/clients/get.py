"""One request with the library that is named: get.py urllib|urllib3|requests|httpx|httplib2|aiohttp|websockets URL"""
import asyncio
import importlib
import sys

library, url = sys.argv[1:]


def use_urllib():
    return importlib.import_module("urllib.request").urlopen(url).read().decode()


def use_urllib3():
    answer = importlib.import_module("urllib3").PoolManager().request("GET", url)
    return answer.data.decode() if answer.status == 200 else sys.exit("status %d" % answer.status)


def use_requests():
    answer = importlib.import_module("requests").get(url)
    answer.raise_for_status()
    return answer.text


def use_httpx():
    answer = importlib.import_module("httpx").Client(http2=True).get(url)
    answer.raise_for_status()
    return "http=%s %s" % (answer.http_version.replace("HTTP/", ""), answer.text)


def use_httplib2():
    answer, text = importlib.import_module("httplib2").Http().request(url)
    return text.decode() if answer.status == 200 else sys.exit("status %d" % answer.status)


async def aiohttp_text():
    aiohttp = importlib.import_module("aiohttp")
    async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
        async with session.get(url) as answer:
            return await answer.text()


async def websockets_text():
    websockets = importlib.import_module("websockets")
    async with websockets.connect(url.replace("https:", "wss:")) as socket:
        await socket.recv()
        await socket.send("octo " * 20000)
        text = await socket.recv()
        return "%d characters, octo" % len(text) if text == "octo " * 20000 else "another message"


def use_aiohttp():
    return asyncio.run(aiohttp_text())


def use_websockets():
    return asyncio.run(websockets_text())


print(globals()["use_" + library]())
