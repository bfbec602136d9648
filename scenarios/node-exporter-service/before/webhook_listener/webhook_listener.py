import subprocess

from flask import Flask, request

app = Flask(__name__)


@app.route("/alert", methods=["POST"])
def alert():
    data = request.json
    print("Alert received:", data)
    if data["status"] == "firing":
        subprocess.run(["ansible-playbook", "restart_node_exporter.yml"])
    return "OK", 200


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5001)
