import subprocess

from flask import Flask, request

app = Flask(__name__)


@app.route("/alert", methods=["POST"])
def alert():
    data = request.get_json()
    print("Received alert:", data, flush=True)
    for alert in data["alerts"]:
        if alert["status"] == "firing":
            result = subprocess.run(
                ["ansible-playbook", "/ansible/restart_nginx.yml"], capture_output=True, text=True
            )
            print(result.stdout, result.stderr, flush=True)
    return "OK", 200


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5001)
