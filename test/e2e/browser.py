"""A real browser, Debian's chromium without a window, that is shown a page and tells what it says."""

import os

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

SWITCHES = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", "disable-dev-shm-usage", "no-proxy-server")


class Browser:
    """It keeps all its files in a folder and accepts a certificate with that key (see authority.pin), whoever signed it."""

    def __init__(self, folder, key_pin):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for switch in (*SWITCHES, f"user-data-dir={folder / 'profile'}", f"ignore-certificate-errors-spki-list={key_pin}"):
            options.add_argument(f"--{switch}")
        service = Service("/usr/bin/chromedriver", env=os.environ | {"HOME": str(folder)})
        self.driver = webdriver.Chrome(service=service, options=options)

    def read(self, url, seconds):
        """Open a page, wait for it to be titled "done", return the text of its element #result."""
        self.driver.get(url)
        WebDriverWait(self.driver, seconds).until(lambda driver: driver.title == "done", f"{url} was never done")
        return self.driver.find_element("id", "result").text

    def close(self):
        self.driver.quit()
